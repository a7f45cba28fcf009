// sms-retry loads some of its parts on demand, so Next.js must not bundle it.
/** @type {import('next').NextConfig} */
export default { serverExternalPackages: ['sms-retry'] }
