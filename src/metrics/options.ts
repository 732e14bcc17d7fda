export interface MetricOptions {
  /** mends the quirks of the published scoring; off by default, so that numbers compare with the papers' */
  strict?: boolean;
}
