import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { type Packed, ROOT, packAndInstall } from "./pack.js";

let packed: Packed;
beforeAll(() => {
  packed = packAndInstall();
});
afterAll(() => packed.remove());

test("publint finds nothing in the tarball", () => {
  const cli = join(ROOT, "node_modules", "publint", "src", "cli.js");
  const { stdout } = spawnSync(process.execPath, [cli, "run", packed.tarball, "--strict"], {
    encoding: "utf8",
    env: { ...process.env, NO_COLOR: "1", FORCE_COLOR: undefined },
  });
  const findings = stdout.trim().split("\n").filter((line) => !/^(Running|Unpacking|Linting)/.test(line));
  expect(findings).toEqual(["All good!"]);
});

test("the tarball has what runs and the licenses, and nothing of the source build", () => {
  for (const file of ["lib/index.js", "lib/index.mjs", "lib/index.d.ts", "lib/index.d.mts", "lib/vendor/echarts.common.min.js", "lib/vendor/echarts-LICENSE", "lib/server/page/index.html", "lib/server/page/main.mjs", "LICENSE", "THIRD_PARTY_NOTICES", "package.json"]) {
    expect(packed.files).toContain(file);
  }
  expect(packed.files.filter((file) => file.endsWith(".gguf")).length).toBeGreaterThan(0);
  expect(packed.files.filter((file) => /^(native|src|scripts|test|build|deps)\/|binding\.gyp|CMakeLists/.test(file))).toEqual([]);
});
