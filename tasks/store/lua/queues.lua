-- Steps of each queue of a partition that are ready, dispatched or running. Stands alone, without the prelude.
-- KEYS[1] load, ARGV[1] what the keys of the lists begin with; scores as in figures.lua
-- Reply: six a queue: its name, how many are ready, dispatched, running, since when the longest is ready, dispatched ('')
local RANK, reply, seen = 4e12, {}, {}
for _, field in ipairs(redis.call('HKEYS', KEYS[1])) do
  local queue = string.match(field, '^[FNW]:(.+)$')
  if queue and not seen[queue] then
    seen[queue] = true
    reply[#reply + 1] = queue
    local list, since = ARGV[1] .. queue .. ':present', {}
    for rank = 0, 2 do
      local from, to = string.format('%.0f', rank * RANK), string.format('(%.0f', (rank + 1) * RANK)
      reply[#reply + 1] = redis.call('ZCOUNT', list, from, to)
      local first = redis.call('ZRANGEBYSCORE', list, from, to, 'WITHSCORES', 'LIMIT', 0, 1)[2]
      since[rank] = first and string.format('%.0f', tonumber(first) - rank * RANK) or ''
    end
    reply[#reply + 1], reply[#reply + 2] = since[0], since[1]
  end
end
return reply
