-- Forget a session; its open jobs are cancelled. O(their steps)
-- ARGV[3] session, [4] failure of those jobs
-- Reply: 1 done | 0 there is none
local session = open_session(ARGV[3])
if redis.call('EXISTS', session.key) == 0 then return 0 end
local jobs = clear_turns(session, false)
redis.call('DEL', session.key, session.messages, session.calls)
redis.call('ZREM', sessions_index, session.id)
for _, job in ipairs(jobs) do finish_job(job, 'cancelled', ARGV[4]) end
return 1
