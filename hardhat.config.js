import { readdirSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { defineConfig } from "hardhat/config";

// The compiler comes from npm with everything else: compiling needs no download.
const compiler = createRequire(import.meta.url).resolve("solc/soljson.js");

// HARDHAT_OUT puts artifacts and cache elsewhere, for a compile that owes nothing to an older one.
const out = process.env.HARDHAT_OUT ?? ".";

// Warnings are ours to fix in contracts/, not in the libraries under node_modules.
const quietLibraries = {
  id: "bafl:quiet-libraries",
  hookHandlers: {
    solidity: async () => ({
      default: async () => ({
        async getCompilationJobErrors(context, job, output, next) {
          const errors = await next(context, job, output);
          return errors.filter(
            (error) =>
              error.severity !== "warning" || !/--> \S*node_modules\//.test(error.formattedMessage),
          );
        },
      }),
    }),
  },
};

// CI has the minutes that long invariant runs take.
const isCI = Boolean(process.env.CI);

const test = {
  // Vectors that pin Solidity to Python.
  fsPermissions: { readDirectory: ["./tests/vectors"] },
  fuzz: {
    // A fixed seed: a red run is red again. FUZZ_SEED=0x… explores elsewhere, FUZZ_RUNS=… further.
    seed: process.env.FUZZ_SEED ?? "0xbaf1",
    runs: Number(process.env.FUZZ_RUNS ?? 256),
    failurePersistDir: join(out, "cache", "fuzz"),
  },
  invariant: {
    runs: Number(process.env.INVARIANT_RUNS ?? (isCI ? 256 : 32)),
    depth: Number(process.env.INVARIANT_DEPTH ?? (isCI ? 500 : 128)),
    failOnRevert: false,
    failurePersistDir: join(out, "cache", "invariant"),
  },
};

const tests = "contracts/test";

const compiled = ({ viaIR = true, runs = 500 } = {}) => ({
  version: "0.8.37",
  path: compiler,
  settings: {
    evmVersion: "cancun", // OpenZeppelin 5.7 uses its opcodes
    optimizer: { enabled: true, runs },
    viaIR,
  },
});

export default defineConfig({
  plugins: [quietLibraries],
  solidity: {
    compilers: [compiled()],
    overrides: {
      // What a window costs is mostly its loops, and this library has room for them.
      "contracts/libraries/Judging.sol": compiled({ runs: 20_000 }),
      // Tests of the federation hold no contract code and compile twenty times faster without viaIR.
      ...Object.fromEntries(
        readdirSync(tests)
          .filter((file) => file.endsWith(".sol"))
          .map((file) => [join(tests, file), compiled({ viaIR: false })]),
      ),
    },
  },
  paths: {
    sources: "./contracts",
    tests: { solidity: "./contracts/test" },
    cache: join(out, "cache"),
    artifacts: join(out, "artifacts"),
  },
  test: {
    solidity: {
      profiles: {
        default: test,
        // Each call of a test is a transaction of its own, as on a chain: for figures of gas.
        gas: { ...test, isolate: true },
      },
    },
  },
});
