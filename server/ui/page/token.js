// The admin token, for as long as this tab is open.

const KEY = "cuvee-admin-token";

export const known = () => sessionStorage.getItem(KEY);
export const keep = (token) => sessionStorage.setItem(KEY, token);
export const forget = () => sessionStorage.removeItem(KEY);

/** Return the headers by which the service knows an admin, none without a token. */
export function headers() {
  const token = known();
  return token ? { Authorization: `Bearer ${token}` } : {};
}
