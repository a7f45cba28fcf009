// The routes for operators: metrics and dashboard. Wrong passwords and wrong tokens count towards one limit.
import { Router } from 'express'
import { HealthWatch } from '../processes/health-watch.ts'
import type { Instance } from '../processes/instance.ts'
import type { LazyRecording, Runtime } from '../processes/runtime.ts'
import { dashboardRoute } from './dashboard/dashboard-route.ts'
import { GuessLimit } from './guess-limit.ts'
import { metricsRoute } from './metrics-route.ts'

/** @param isOpen serves the dashboard without credentials */
export function operatorRoutes(
  runtime: Runtime,
  recording: LazyRecording,
  instance: Instance,
  isOpen: boolean,
): Router {
  const { metricsToken, dashboard } = runtime.config
  const router = Router()
  const guessLimit = new GuessLimit(runtime.logger)
  const health = new HealthWatch(runtime)
  if (metricsToken !== null)
    router.all('/metrics', metricsRoute(metricsToken, runtime, instance, guessLimit, health))
  if (isOpen) router.use(dashboardRoute(runtime, recording, 'open', health))
  else if (dashboard.credentials !== null)
    router.use(dashboardRoute(runtime, recording, { credentials: dashboard.credentials, guessLimit }, health))
  return router
}
