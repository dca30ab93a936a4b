-- Jobs of a list, the newest first. Stands alone.
-- KEYS[1] list: sorted set of jobs
-- ARGV[1] place to look from: Unix ms, [2] job: those at that moment that come behind it, '' for all earlier ones,
-- [3] most jobs
-- Reply: {job, Unix ms, …}
local found = {}
if ARGV[2] ~= '' then -- as many as were listed in one millisecond
  local same = redis.call('ZRANGE', KEYS[1], ARGV[1], ARGV[1], 'BYSCORE', 'REV')
  for _, job in ipairs(same) do
    if #found >= 2 * tonumber(ARGV[3]) then break end
    if job < ARGV[2] then
      found[#found + 1] = job
      found[#found + 1] = ARGV[1]
    end
  end
end
local rest = tonumber(ARGV[3]) - #found / 2
if rest > 0 then
  local from = ARGV[1] == '+inf' and ARGV[1] or '(' .. ARGV[1]
  for _, one in ipairs(redis.call('ZRANGE', KEYS[1], from, '-inf', 'BYSCORE', 'REV', 'LIMIT', 0, rest, 'WITHSCORES')) do
    found[#found + 1] = one
  end
end
return found
