// `npm run test:clients [-- clients|page]`: the service and its page with clients that nobody here wrote. Installs those of Node; those of Python
// (`pip install openai schemathesis`; SD_RPN_TEST_PYTHON names another one) and a Chromium (CHROMIUM names it) must be there.
import { spawnSync } from "node:child_process";
import { createRequire } from "node:module";
import { ROOT } from "./common.mjs";

const npm = spawnSync("npm", ["ci", "--prefix", "test/service/clients"], { cwd: ROOT, stdio: "inherit", shell: process.platform === "win32" });
if (npm.status !== 0) process.exit(npm.status ?? 1);
const jest = createRequire(import.meta.url).resolve("jest/bin/jest");
const which = process.argv.slice(2).map((name) => `with-clients/${name}`);
const { status } = spawnSync(process.execPath, [jest, ...(which.length > 0 ? which : ["with-clients"])], { cwd: ROOT, stdio: "inherit", env: { ...process.env, SD_RPN_CLIENTS: "1" } });
process.exitCode = status ?? 1;
