import { probeConvolutionForm } from '/work/main/src/pipeline/engine/onnxruntime/probe-convolutions.ts';
for (let i=0;i<Number(process.argv[2]??5);i++){ const t=performance.now(); const f = await probeConvolutionForm({device:'cpu',threads:2}); if(i<5) console.log(f, (performance.now()-t).toFixed(0)); }
