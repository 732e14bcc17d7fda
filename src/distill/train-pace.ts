/** Pairs per second and remaining time of the training itself, without measuring held-out pairs and writing checkpoints. */
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
