/** Pairs per second and the time left, of training alone: measuring held-out pairs and writing checkpoints do not count. */
export class TrainPace {
  private done = 0;
  private ms = 0;

  /** @param left pairs still to be trained on, all epochs together */
  constructor(private left: number) {}

  add(pairs: number, ms: number): { pairsPerSecond: number; secondsLeft: number } {
    this.done += pairs;
    this.ms += ms;
    this.left -= pairs;
    const pairsPerSecond = (1000 * this.done) / this.ms;
    return { pairsPerSecond, secondsLeft: this.left / pairsPerSecond };
  }
}
