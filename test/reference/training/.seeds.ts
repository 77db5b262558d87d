import { writeCase } from './write-cases.ts';
import { trainingCase } from './cases.ts';
const [, , folder = '', seeds = '', ...names] = process.argv;
for (const name of names) for (const seed of seeds.split(',').map(Number)) { const c = trainingCase(name); writeCase(folder, { ...c, name: `${name}@${seed}`, spec: { ...c.spec, seed } }); }
