// The most that any endpoint on Express can do: checks the signature, and forgets the callback.
import { serve } from './endpoint.ts'

serve(async () => undefined)
