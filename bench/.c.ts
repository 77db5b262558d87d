import { readTrainingReference, runCase, errorsOf } from '../test/pipeline/engine/training-reference.ts';
import { trainingCase, initialWeights } from '../test/reference/training/cases.ts';
import { FORMS } from '../test/pipeline/engine/training-support.ts';
const [, , folder, ...names] = process.argv;
for (const name of names) { const c = trainingCase(name); const ref = readTrainingReference(`${folder}/${name}.json`); const w = initialWeights(c);
 for (const { title, form } of FORMS) { const t = performance.now(); const r = await runCase(c, form, w, ref); const e = errorsOf(r, ref);
 const worst = [...e].sort((a,b)=>b[1]-a[1]); const kind=(p:string)=>Math.max(...worst.filter(([n])=>n.startsWith(p)||n.endsWith(p)).map(([,v])=>v)).toExponential(1);
 console.log(name.padEnd(26), title.slice(0,8), 'logits',kind('logits'),'loss',kind('loss'),'gradient',kind('gradient'),'w1',kind('weight1:'),'v1',kind('velocity1:'),'w10',kind('weight10:'),'v10',kind('velocity10:'), 'worst', worst[0], `${(performance.now()-t).toFixed(0)} ms`, JSON.stringify(r.evaluation), JSON.stringify(r.steps.map(s=>[s.top1,s.top5]))===JSON.stringify(ref.steps.map(s=>[s.top1,s.top5]))); } }
