// Runs seal.py in a Python that is the same on every machine: Lambda's version, in WebAssembly.
// Arguments: the folder of Pyodide, the contents, where the zips go.
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";

const [pyodide, contents, zips] = process.argv.slice(2).map((folder) => resolve(folder));
const { loadPyodide } = await import(pathToFileURL(`${pyodide}/pyodide.mjs`));
const python = await loadPyodide({ env: { PYTHONHASHSEED: "0" } });
for (const [folder, here] of [[contents, "/contents"], [zips, "/zips"]]) {
  python.FS.mkdir(here);
  python.FS.mount(python.FS.filesystems.NODEFS, { root: folder }, here);
}
python.runPython(readFileSync(new URL("seal.py", import.meta.url), "utf8"));
