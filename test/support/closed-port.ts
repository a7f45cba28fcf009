/** Nobody listens on it. A free port is none for long: another test may get it. (`fetch` refuses port 1.) */
export const CLOSED_PORT = 2
