import { Presets, SingleBar } from "cli-progress";

const PATIENCE_MS = 500;

/** A progress bar on stderr if that is a terminal, shown once the work has taken half a second. */
export class Progress {
  private readonly start = performance.now();
  private bar: SingleBar | undefined;
  private first: { done: number; at: number } | undefined;

  constructor(
    private readonly label: string,
    private readonly unit = "",
  ) {}

  /** `fraction`: 0..1 */
  readonly update = (fraction: number): void => {
    this.show(fraction, 1, "");
  };

  /**
   * `done` of `total` things, with their rate, the time left and an optional text. What was done before the first call does
   * not count for the rate.
   */
  readonly count = (done: number, total: number, more = ""): void => {
    const now = performance.now();
    this.first ??= { done, at: now };
    const seconds = (now - this.first.at) / 1000;
    this.show(done, total, `${done}/${total} ${this.unit} | ${formatPace(done - this.first.done, seconds, total - done)}${more === "" ? "" : ` | ${more}`}`);
  };

  /** `done` of `total` things, with a given text. */
  readonly tell = (done: number, total: number, text: string): void => {
    this.show(done, total, text);
  };

  stop(): void {
    this.bar?.stop();
    this.bar = undefined;
  }

  private show(value: number, total: number, text: string): void {
    if (!this.bar && process.stderr.isTTY && performance.now() - this.start > PATIENCE_MS) {
      const format = `${this.label} [{bar}] {percentage}%${text === "" ? "" : " | {text}"}`;
      // cli-progress would install signal handlers, but main.ts handles signals.
      this.bar = new SingleBar({ format, stream: process.stderr, clearOnComplete: true, barsize: 30, gracefulExit: false }, Presets.legacy);
      this.bar.start(total, value, { text });
      return;
    }
    this.bar?.setTotal(total);
    this.bar?.update(value, { text });
  }
}

/** "23.1/s, 1:32 left"; a dash for what is not known yet. */
export function formatPace(done: number, seconds: number, left: number): string {
  if (done <= 0 || seconds <= 0) {
    return "-/s, - left";
  }
  const rate = done / seconds;
  return `${rate.toFixed(rate < 9.95 ? 1 : 0)}/s, ${formatDuration(left / rate)} left`;
}

/** "1:32", "2:03:04" */
export function formatDuration(seconds: number): string {
  const whole = Math.ceil(seconds);
  const parts = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const shown = parts[0] > 0 ? parts : parts.slice(1);
  return shown.map((part, index) => (index === 0 ? String(part) : String(part).padStart(2, "0"))).join(":");
}
