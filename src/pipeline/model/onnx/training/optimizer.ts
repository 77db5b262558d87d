/** The update of weights and velocities: see `SgdOptions`. */
import type { SgdOptions } from '../../training-network.ts';
import type { GraphBuilder } from '../graph-builder.ts';

/** One parameter under training, by the names of its tensors in the graph. */
export interface TrainedParameter {
  readonly weight: string;
  readonly velocity: string;
  readonly gradient: string;
  readonly weightDecay: number;
  readonly learningRateFactor: number;
}

/**
 * Appends an update.
 * @param learningRate name of a (1) float32
 * @param names of the two results
 */
export function appendSgd(
  graph: GraphBuilder,
  parameter: TrainedParameter,
  learningRate: string,
  { momentum, nesterov }: SgdOptions,
  names: { readonly weight: string; readonly velocity: string },
): void {
  const { weight, velocity, gradient, weightDecay, learningRateFactor } = parameter;
  const scalar = (hint: string, value: number): string => graph.floats(hint, [], Float32Array.of(value));
  const decayed =
    weightDecay === 0
      ? gradient
      : graph.node('Add', [gradient, graph.node('Mul', [weight, scalar('decay', weightDecay)])]);
  const kept = graph.node('Mul', [velocity, scalar('momentum', momentum)]);
  graph.node('Add', [kept, decayed], {}, names.velocity);
  const direction = nesterov
    ? graph.node('Add', [decayed, graph.node('Mul', [names.velocity, scalar('momentum', momentum)])])
    : names.velocity;
  const rate =
    learningRateFactor === 1
      ? learningRate
      : graph.node('Mul', [learningRate, scalar('rate_factor', learningRateFactor)]);
  graph.node('Sub', [weight, graph.node('Mul', [direction, rate])], {}, names.weight);
}
