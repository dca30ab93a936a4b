-- Take steps off the lists of their queues that are not what the lists say: moved by an older release, or gone with their
-- job. ARGV[3] most members of a list that are looked at, those first that are there for longest
-- Reply: how many were taken off
local gone = 0
for _, field in ipairs(redis.call('HKEYS', load)) do
  local queue = string.match(field, '^[FNW]:(.+)$')
  for status in pairs(queue and SHOWN or {}) do
    local list = base .. queue .. ':' .. status
    for _, member in ipairs(redis.call('ZRANGE', list, 0, tonumber(ARGV[3]) - 1)) do
      local id, step = string.match(member, '^([^:]*):(.*)$')
      local job = open_job(id)
      local facts = redis.pcall('HMGET', job.steps, 's:' .. step, 'Q:' .. step)
      if facts[1] ~= status or facts[2] ~= queue then gone = gone + redis.call('ZREM', list, member) end
    end
  end
end
return gone
