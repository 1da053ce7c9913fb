// `npm version` runs this: the section "Unreleased" of CHANGELOG.md gets the
// version's name. A version that is there already, such as a second try, stays.
import { readFileSync, writeFileSync } from "node:fs";

const version = process.env.npm_package_version;
const changelog = readFileSync("CHANGELOG.md", "utf8");
// An alpha is published from under "Unreleased".
const isPrerelease = version.includes("-");
if (!isPrerelease && !changelog.includes(`\n## ${version}\n`)) {
  if (!changelog.includes("\n## Unreleased\n")) {
    console.error(
      `CHANGELOG.md has no section "## Unreleased" to become "## ${version}". Write one first.`,
    );
    process.exit(1);
  }
  writeFileSync(
    "CHANGELOG.md",
    changelog.replace("\n## Unreleased\n", `\n## ${version}\n`),
  );
}
