import { formatDuration, formatPace } from "../../src/cli/progress";

test("durations", () => {
  expect([0, 5, 59.2, 61, 3600, 7384].map(formatDuration)).toEqual(["0:00", "0:05", "1:00", "1:01", "1:00:00", "2:03:04"]);
});

test("rate and time left", () => {
  expect(formatPace(0, 1, 10)).toBe("-/s, - left");
  expect(formatPace(20, 4, 100)).toBe("5.0/s, 0:20 left");
  expect(formatPace(500, 10, 6000)).toBe("50/s, 2:00 left");
});
