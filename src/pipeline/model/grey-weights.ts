/** Luma of ITU-R BT.601, the grey of PIL and torchvision. */
export const GREY_WEIGHTS = [0.299, 0.587, 0.114] as const;
