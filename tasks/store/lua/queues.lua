-- Steps of each queue of a partition that are ready, dispatched or running. Stands alone, without the prelude.
-- KEYS[1] load, ARGV[1] what the keys of the lists begin with
-- Reply: six a queue: its name, how many are ready, dispatched, running, since when the longest is ready, dispatched ('')
local reply, seen = {}, {}
for _, field in ipairs(redis.call('HKEYS', KEYS[1])) do
  local queue = string.match(field, '^[FNW]:(.+)$')
  if queue and not seen[queue] then
    seen[queue] = true
    reply[#reply + 1] = queue
    local since = {}
    for at, status in ipairs({ 'ready', 'dispatched', 'running' }) do
      local list = ARGV[1] .. queue .. ':' .. status
      reply[#reply + 1] = redis.call('ZCARD', list)
      since[at] = redis.call('ZRANGE', list, 0, 0, 'WITHSCORES')[2] or ''
    end
    reply[#reply + 1], reply[#reply + 2] = since[1], since[2]
  end
end
return reply
