import fastify from 'fastify';
import { serializerCompiler, validatorCompiler } from 'fastify-type-provider-zod';
import { format } from 'prettier';
import { registerOpenapi } from '../../src/dashboard/api/openapi.ts';
import { registerApi } from '../../src/dashboard/api/register-api.ts';
import type { Services } from '../../src/dashboard/services.ts';

/** `docs/openapi.json`, from the routes; nothing is asked of what they work with. */
export async function renderOpenapi(): Promise<string> {
  const app = fastify();
  app.setValidatorCompiler(validatorCompiler);
  app.setSerializerCompiler(serializerCompiler);
  await registerOpenapi(app);
  await registerApi(app, {} as Services);
  await app.ready();
  try {
    return await format(JSON.stringify(app.swagger()), { parser: 'json', printWidth: 110 });
  } finally {
    await app.close();
  }
}
