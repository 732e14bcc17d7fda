import { Presets, SingleBar } from "cli-progress";

const PATIENCE_MS = 500;

/** A progress bar on stderr, where that is a terminal, once the work has taken half a second. */
export class Progress {
  private readonly start = performance.now();
  private bar: SingleBar | undefined;

  constructor(private readonly label: string) {}

  /** `fraction`: 0..1 */
  readonly update = (fraction: number): void => {
    if (!this.bar && process.stderr.isTTY && performance.now() - this.start > PATIENCE_MS) {
      const format = `${this.label} [{bar}] {percentage}%`;
      // cli-progress would take signals over, which main.ts handles.
      this.bar = new SingleBar({ format, stream: process.stderr, clearOnComplete: true, barsize: 30, gracefulExit: false }, Presets.legacy);
      this.bar.start(1, 0);
    }
    this.bar?.update(fraction);
  };

  stop(): void {
    this.bar?.stop();
    this.bar = undefined;
  }
}
