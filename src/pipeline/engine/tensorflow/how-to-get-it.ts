export const HOW_TO_GET_IT =
  'npm run setup:tensorflow builds one (with -- --cuda for NVIDIA GPUs), npm install @tensorflow/tfjs-node gets an older one';
