-- Renew the leases of one worker process in this partition: running stays running.
-- ARGV[3] sources, [4] lease ms, then three an attempt: job id, step, attempt
-- Reply: for each attempt its step's status when the lease is no longer the caller's, else ''
local reply = {}
for at = 5, #ARGV, 3 do
  local job, step, attempt = open_job(ARGV[at]), ARGV[at + 1], ARGV[at + 2]
  local facts = redis.call('HMGET', job.steps, 's:' .. step, 'a:' .. step)
  if may(ARGV[3], facts[1]) and facts[2] == attempt then
    redis.call('ZADD', timers, 'XX', ms(now + tonumber(ARGV[4])), job.id .. ':' .. step)
    reply[#reply + 1] = ''
  elseif facts[1] and facts[2] ~= attempt then
    reply[#reply + 1] = 'superseded'
  else
    reply[#reply + 1] = facts[1] or 'gone'
  end
end
return reply
