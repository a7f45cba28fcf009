# One image for all processes. It runs `web`, or the command that is given (worker, migrate, prune ...): docs/deploying.md
# To pin the base image: --build-arg NODE_IMAGE=docker.io/library/node:24-slim@sha256:...
ARG NODE_IMAGE=docker.io/library/node:24-slim

FROM ${NODE_IMAGE} AS dependencies
WORKDIR /app
COPY package.json package-lock.json ./
# No runtime package needs an install script.
RUN npm ci --omit=dev --ignore-scripts

FROM ${NODE_IMAGE} AS build
WORKDIR /app
COPY package.json package-lock.json ./
# The build needs nothing that install scripts download: the image has Node.
RUN npm ci --ignore-scripts
COPY tsconfig.json tsconfig.build.json ./
COPY src ./src
RUN npm run build

FROM ${NODE_IMAGE}
ENV NODE_ENV=production
WORKDIR /app
COPY package.json ./
COPY sql ./sql
COPY --from=dependencies /app/node_modules ./node_modules
COPY --from=build /app/dist ./dist
USER node
EXPOSE 3000
# For the web process. Run other commands with --no-healthcheck.
HEALTHCHECK --interval=30s --timeout=5s --start-period=10s \
  CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.PORT || 3000}/healthz`).then(({ ok }) => process.exit(ok ? 0 : 1), () => process.exit(1))"]
# No shell in between: the process gets SIGTERM and ends within 25 seconds.
ENTRYPOINT ["node", "dist/cli.js"]
CMD ["web"]
