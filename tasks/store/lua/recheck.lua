-- Take steps off the lists of their queues that are not what the lists say: moved by an older release, or gone with their
-- job. ARGV[3] most members of a list that are looked at, those first that are there for longest
-- Reply: how many were taken off
local gone = 0
for _, field in ipairs(redis.call('HKEYS', load)) do
  local queue = string.match(field, '^[FNW]:(.+)$')
  for status, rank in pairs(queue and RANKS or {}) do
    local from, to = ms(rank * RANK), '(' .. ms((rank + 1) * RANK)
    for _, member in ipairs(redis.call('ZRANGEBYSCORE', base .. queue .. ':present', from, to, 'LIMIT', 0, ARGV[3])) do
      local id, step = string.match(member, '^([^:]*):(.*)$')
      local facts = id and redis.pcall('HMGET', open_job(id).steps, 's:' .. step, 'Q:' .. step) or {}
      if facts[1] ~= status or facts[2] ~= queue then
        hide(queue, member)
        gone = gone + 1
      end
    end
  end
end
return gone
