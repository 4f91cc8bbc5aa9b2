// A certified OpenID provider with one client and whoever logs in. Arguments: the folder that has
// node_modules, and the settings as JSON.
import { createServer } from 'node:http';
import { pathToFileURL } from 'node:url';

const [folder, settings] = process.argv.slice(2);
const { Provider } = await import(
  pathToFileURL(`${folder}/node_modules/oidc-provider/lib/index.js`).href
);
const { clientId, clientSecret, redirectUris, groups } = JSON.parse(settings);

const server = createServer();
server.listen(0, '127.0.0.1', () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const provider = new Provider(issuer, {
    clients: [
      {
        client_id: clientId,
        client_secret: clientSecret,
        redirect_uris: redirectUris,
        application_type: 'native',
        response_types: ['code', 'id_token'],
        grant_types: [
          'authorization_code',
          'implicit',
          'urn:ietf:params:oauth:grant-type:device_code',
        ],
      },
    ],
    claims: { openid: ['sub'], email: ['email'], groups: ['groups'] },
    scopes: ['openid', 'email', 'groups'],
    cookies: { keys: ['for tests'] },
    features: { deviceFlow: { enabled: true } },
    findAccount: (_, id) => ({
      accountId: id,
      claims: () => ({
        sub: id,
        email: `${id}@idp.example`,
        groups: groups[id] ?? [],
      }),
    }),
    pkce: { required: () => false },
    ttl: { IdToken: 300, AccessToken: 300, DeviceCode: 300 },
  });
  server.on('request', provider.callback());
  console.log(`ready: ${issuer}`);
});
