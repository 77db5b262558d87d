/**
 * How convolutions are written. ONNX Runtime's own optimizer turns convolutions with constant weights into operators
 * of the domain `com.microsoft.nchwc`, on blocks of channels as wide as the processor's vectors. In training weights
 * are inputs, so it does not; we write these operators ourselves and reorder the weights in the graph. The block is
 * 8 with AVX and 16 with AVX-512; since the domain is undocumented, a probe decides at start (see the engine).
 */
export type ConvolutionForm =
  { readonly kind: 'standard' } | { readonly kind: 'blocked'; readonly block: 8 | 16 };

export const STANDARD_FORM: ConvolutionForm = { kind: 'standard' };

/** In order of preference; the last one always works. */
export const CONVOLUTION_FORMS: readonly ConvolutionForm[] = [
  { kind: 'blocked', block: 16 },
  { kind: 'blocked', block: 8 },
  STANDARD_FORM,
];
