/** Softmax cross-entropy with label smoothing (Szegedy et al. 2015, §7), its gradient, and what to count. */
import { DATA_TYPE, type GraphBuilder } from '../graph-builder.ts';

export interface LossInput {
  /** (rows, classes) float32. */
  readonly logits: string;
  /** (rows) int64. */
  readonly labels: string;
  readonly classes: number;
  readonly labelSmoothing: number;
  /** (rows) float32, 1 for an item and 0 for padding; undefined: all rows are items. */
  readonly rowWeights?: string;
}

export interface Loss {
  /** Σ over the rows of −Σ target · log softmax: (1) float32. */
  readonly lossSum: string;
  /** Items whose best class is right, and whose best five hold the right one: (1) float32 each. */
  readonly top1: string;
  readonly top5: string;
  /** Appends d(lossSum · scale)/d(logits). */
  gradient(scale: number): string;
}

export function appendLoss(graph: GraphBuilder, input: LossInput): Loss {
  const { logits, labels, classes, labelSmoothing, rowWeights } = input;
  const column = graph.node('Reshape', [labels, graph.ints('shape', [-1, 1])]);
  const range = graph.ints(
    'classes',
    Array.from({ length: classes }, (_, index) => index),
  );
  const isLabel = graph.node('Equal', [column, range]);
  const oneHot = graph.node('Cast', [isLabel], { to: DATA_TYPE.float });
  const target = labelSmoothing === 0 ? oneHot : smooth(graph, oneHot, classes, labelSmoothing);
  const logProbabilities = graph.node('LogSoftmax', [logits], { axis: 1 });
  const perRow = graph.node(
    'ReduceSum',
    [graph.node('Mul', [target, logProbabilities]), graph.ints('axes', [1])],
    { keepdims: 0 },
  );
  return {
    lossSum: graph.node('Neg', [sumOf(graph, weighted(graph, perRow, rowWeights))]),
    top1: countRight(graph, logits, column, 1, rowWeights),
    top5: countRight(graph, logits, column, Math.min(5, classes), rowWeights),
    gradient(scale) {
      const difference = graph.node('Sub', [graph.node('Exp', [logProbabilities]), target]);
      return graph.node('Mul', [difference, graph.floats('loss_scale', [], Float32Array.of(scale))]);
    },
  };
}

function smooth(graph: GraphBuilder, oneHot: string, classes: number, smoothing: number): string {
  const kept = graph.node('Mul', [oneHot, graph.floats('kept', [], Float32Array.of(1 - smoothing))]);
  return graph.node('Add', [kept, graph.floats('spread', [], Float32Array.of(smoothing / classes))]);
}

function countRight(
  graph: GraphBuilder,
  logits: string,
  labels: string,
  best: number,
  rowWeights: string | undefined,
): string {
  const [values, indices] = [graph.uniqueName('TopK'), graph.uniqueName('TopK_indices')];
  graph.nodeWithOutputs('TopK', [logits, graph.ints('k', [best])], [values, indices], { axis: 1 });
  const right = graph.node('Cast', [graph.node('Equal', [indices, labels])], { to: DATA_TYPE.float });
  const perRow = graph.node('ReduceSum', [right, graph.ints('axes', [1])], { keepdims: 0 });
  return sumOf(graph, weighted(graph, perRow, rowWeights));
}

function weighted(graph: GraphBuilder, perRow: string, rowWeights: string | undefined): string {
  return rowWeights === undefined ? perRow : graph.node('Mul', [perRow, rowWeights]);
}

function sumOf(graph: GraphBuilder, vector: string): string {
  return graph.node('ReduceSum', [vector, graph.ints('axes', [0])], { keepdims: 1 });
}
