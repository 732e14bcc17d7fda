// Jest runs CommonJS; a few dependencies come as ES modules only, and are imported when they are needed.
const ts = require("typescript");

module.exports = {
  process(source, fileName) {
    const compilerOptions = { module: ts.ModuleKind.CommonJS, target: ts.ScriptTarget.ES2022, esModuleInterop: true, allowJs: true };
    return { code: ts.transpileModule(source, { fileName, compilerOptions }).outputText };
  },
};
