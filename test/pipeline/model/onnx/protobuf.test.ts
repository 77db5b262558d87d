import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  ProtobufError,
  ProtoWriter,
  readFields,
  repeatedInts,
  WIRE,
} from '../../../../src/pipeline/model/onnx/protobuf.ts';

describe('ProtoWriter and readFields', () => {
  it('return every integer and every payload, small or by reference', () => {
    const entry = fc.oneof(
      fc.record({ field: fc.integer({ min: 1, max: 5000 }), int: fc.maxSafeInteger() }),
      fc.record({
        field: fc.integer({ min: 1, max: 5000 }),
        bytes: fc.uint8Array({ maxLength: 3000, size: 'max' }),
      }),
    );
    fc.assert(
      fc.property(fc.array(entry, { maxLength: 8 }), (entries) => {
        const writer = new ProtoWriter();
        for (const item of entries) {
          if ('int' in item) writer.int(item.field, item.int);
          else writer.message(item.field, new ProtoWriter().raw(item.bytes));
        }
        const encoded = writer.finish();
        expect(encoded).toHaveLength(writer.length);
        const fields = readFields(encoded);
        expect(fields).toHaveLength(entries.length);
        for (const [index, item] of entries.entries()) {
          const read = fields[index];
          expect(read?.field).toBe(item.field);
          if ('int' in item) expect(read).toMatchObject({ wire: WIRE.varint, int: item.int });
          else expect(Buffer.from(read?.bytes ?? []).equals(item.bytes)).toBe(true);
        }
        expect(Buffer.concat(fields.map(({ raw }) => raw)).equals(encoded)).toBe(true);
      }),
    );
  });

  it('write the bytes of the encoding guide', () => {
    expect(Buffer.from(new ProtoWriter().int(1, 150).string(2, 'testing').finish()).toString('hex')).toBe(
      '089601120774657374696e67',
    );
    expect(Buffer.from(new ProtoWriter().int(1, -2).finish()).toString('hex')).toBe('08feffffffffffffffff01');
    expect(Buffer.from(new ProtoWriter().float(1, 1.5).finish()).toString('hex')).toBe('0d0000c03f');
  });

  it('read packed and plain integers alike', () => {
    const packed = new ProtoWriter()
      .bytes(1, Uint8Array.of(3, 0x96, 1))
      .int(1, 7)
      .finish();
    expect(repeatedInts(readFields(packed), 1)).toEqual([3, 150, 7]);
  });

  it('refuse a message that is cut anywhere inside a field', () => {
    const whole = new ProtoWriter().int(1, 300).string(2, 'abc').float(3, 1).finish();
    const ends = new Set([0, 3, 8, whole.length]);
    for (let length = 0; length <= whole.length; length++) {
      const read = (): unknown => readFields(whole.subarray(0, length));
      if (ends.has(length)) expect(read).not.toThrow();
      else expect(read).toThrow(ProtobufError);
    }
  });

  it('never fail in another way on arbitrary bytes', () => {
    let refused = 0;
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
        try {
          readFields(bytes);
        } catch (error) {
          refused += 1;
          expect(error).toBeInstanceOf(ProtobufError);
        }
      }),
    );
    expect(refused).toBeGreaterThan(0);
  });

  it('refuse numbers that a double cannot hold', () => {
    expect(() => new ProtoWriter().int(1, 2 ** 53)).toThrow(RangeError);
  });
});
