import { describe, expect, it } from 'vitest';
import {
  hostFault,
  isSafe,
  originFault,
  type OriginFacts,
} from '../../../src/dashboard/access/request-origin.ts';

const facts = (more: Partial<OriginFacts> = {}): OriginFacts => ({
  method: 'POST',
  host: 'mill.example:3000',
  origin: undefined,
  fetchSite: undefined,
  contentType: 'application/json',
  bearsToken: false,
  ...more,
});

describe('originFault', () => {
  it('lets reading through, and programs that bear a token', () => {
    for (const method of ['GET', 'HEAD', 'OPTIONS']) {
      expect(originFault(facts({ method, fetchSite: 'cross-site' }))).toBeNull();
    }
    expect(originFault(facts({ bearsToken: true, fetchSite: 'cross-site' }))).toBeNull();
    expect(['DELETE', 'PUT', 'PATCH', 'get', 'TRACE'].filter(isSafe)).toEqual([]);
  });

  it('goes by what the browser says first', () => {
    expect(originFault(facts({ fetchSite: 'same-origin' }))).toBeNull();
    expect(originFault(facts({ fetchSite: 'none' }))).toBeNull();
    for (const fetchSite of ['cross-site', 'same-site', '', 'Same-Origin']) {
      expect(originFault(facts({ fetchSite })), fetchSite).toMatch(/^expected a request of this dashboard/);
    }
    expect(
      originFault(facts({ fetchSite: 'cross-site', origin: 'http://mill.example:3000' })),
    ).not.toBeNull();
  });

  it('compares the origin with the host, port included', () => {
    expect(originFault(facts({ origin: 'http://mill.example:3000' }))).toBeNull();
    for (const origin of [
      'http://mill.example',
      'http://mill.example:3001',
      'http://evil.example',
      'http://mill.example:3000.evil.example',
      'null',
      '',
    ]) {
      expect(originFault(facts({ origin })), origin).not.toBeNull();
    }
  });

  it('without either takes only what a foreign form cannot send', () => {
    expect(originFault(facts())).toBeNull();
    expect(originFault(facts({ contentType: 'application/json; charset=utf-8' }))).toBeNull();
    for (const contentType of [
      undefined,
      'text/plain',
      'application/x-www-form-urlencoded',
      'application/jsonx',
      'text/plain; application/json',
    ]) {
      expect(originFault(facts({ contentType })), contentType).not.toBeNull();
    }
  });
});

describe('hostFault', () => {
  it('takes names of this machine alone, whatever the port', () => {
    for (const host of ['127.0.0.1', '127.0.0.1:3000', 'localhost:1', '[::1]:3000', 'LocalHost:3000']) {
      expect(hostFault(host), host).toBeNull();
    }
    for (const host of [
      undefined,
      '',
      'evil.example',
      'evil.example:3000',
      '127.0.0.1.evil.example:3000',
      'localhost@evil.example',
      '127.0.0.1:3000:80',
      '::1',
      '0.0.0.0',
    ]) {
      expect(hostFault(host), host).toMatch(/^expected a request to 127.0.0.1 or localhost/);
    }
  });
});
