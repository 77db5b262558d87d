import type { SchemaElement } from 'hyparquet';

/** Key and value of the file metadata by which a part says what its rows are. */
export const SCHEMA_KEY = 'imagemill.schema';
export const RESULTS_SCHEMA = 'imagemill.results/1';

/** Key of the file metadata under which a part holds the checksum of its row groups. */
export const CHECKSUM_KEY = 'imagemill.crc32';

/** The value under {@link CHECKSUM_KEY}: `<bytes from the start of the file> <CRC-32 in hexadecimal>`. */
export function formatChecksum(bytes: number, crc: number): string {
  return `${bytes} ${crc.toString(16).padStart(8, '0')}`;
}

type Leaf = Omit<SchemaElement, 'name' | 'repetition_type'>;

const STRING: Leaf = { type: 'BYTE_ARRAY', converted_type: 'UTF8', logical_type: { type: 'STRING' } };
const INT32: Leaf = { type: 'INT32' };
const FLOAT: Leaf = { type: 'FLOAT' };

const COLUMNS: readonly { readonly name: string; readonly elements: SchemaElement[] }[] = [
  scalar('uri', STRING),
  scalar('digest', STRING),
  scalar('width', INT32),
  scalar('height', INT32),
  list('ids', INT32),
  list('labels', STRING),
  list('scores', FLOAT),
  scalar('model', STRING),
];

export const EMBEDDING_COLUMN = 'embedding';
/** The leaf of the embedding column. */
export const EMBEDDING_PATH: readonly string[] = [EMBEDDING_COLUMN, 'list', 'element'];

/** Columns that every part has, in order. */
export const REQUIRED_COLUMNS: readonly string[] = COLUMNS.map((column) => column.name);

/** The schema of a part, depth first as the Parquet footer wants it. Nothing is nullable; lists may be empty. */
export function partSchema(embeddings: boolean): SchemaElement[] {
  const columns = embeddings ? [...COLUMNS, list(EMBEDDING_COLUMN, FLOAT)] : COLUMNS;
  return [{ name: 'schema', num_children: columns.length }, ...columns.flatMap((column) => column.elements)];
}

function scalar(name: string, leaf: Leaf): { name: string; elements: SchemaElement[] } {
  return { name, elements: [{ name, repetition_type: 'REQUIRED', ...leaf }] };
}

/** The three levels of a list as the Parquet specification names them (LogicalTypes.md, "Lists"). */
function list(name: string, leaf: Leaf): { name: string; elements: SchemaElement[] } {
  return {
    name,
    elements: [
      {
        name,
        repetition_type: 'REQUIRED',
        num_children: 1,
        converted_type: 'LIST',
        logical_type: { type: 'LIST' },
      },
      { name: 'list', repetition_type: 'REPEATED', num_children: 1 },
      { name: 'element', repetition_type: 'REQUIRED', ...leaf },
    ],
  };
}
