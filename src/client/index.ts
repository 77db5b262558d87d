/** `imagemill/client`: the API of a dashboard, typed. */
export { ApiProblem } from './api-problem.ts';
export { ImagemillClient, type CallOptions } from './imagemill-client.ts';
export type { ClientOptions } from './transport.ts';
export type { WatchedEvent, WatchOptions } from './watch-events.ts';
export type { LiveEvent } from '../contract/api/events.ts';
export type { Problem } from '../contract/api/problem.ts';
export type {
  ActionAnswer,
  ErrorsPage,
  ListRunsInput,
  ResultsPage,
  RetryRequestInput,
  RowsQueryInput,
  RunDetail,
  RunList,
  RunOverview,
  ShardMap,
  Submitted,
} from '../contract/api/runs.ts';
export type { SubmitRunInput } from '../contract/api/submit.ts';
export type { Training } from '../contract/api/training.ts';
