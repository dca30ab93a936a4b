-- Read what other steps have said to a running attempt's step since a number; under one key always as far as the first time.
-- ARGV[3] sources, [4] job id, [5] step, [6] attempt, [7] key, [8] agent, [9] since, [10] '1': that nothing came is noted
-- too, [11] most messages, [12] most bytes of them, one is always given, [13] most posts and reads of a step
-- Reply: {'', how far it came, how many up to there are kept no more, then seven a message: number, at, step, agent,
-- attempt, to, content} | {status that refused it} | {too_many}
local job, step, attempt, since = open_job(ARGV[4]), ARGV[5], ARGV[6], tonumber(ARGV[9])
local facts = redis.call('HMGET', job.steps, 's:' .. step, 'a:' .. step)
if not facts[1] then return { 'gone' } end
if facts[2] ~= attempt then return { 'superseded' } end
if not may(ARGV[3], facts[1]) then return { facts[1] } end

local once = 'r ' .. step .. ' ' .. ARGV[7]
local before = redis.call('HGET', job.posts, once)
if not before and not may_note(job, step, ARGV[13]) then return { 'too_many' } end
local last = tonumber(before or redis.call('HGET', job.posts, '#') or '0')
local reply, far, count, bytes = { '', '', '' }, since, 0, 0
local function take(entry)
  local fields, number = said_in(entry)
  if is_for(fields.step, fields.to, step, ARGV[8]) then
    count, bytes = count + 1, bytes + #fields.content
    if not before and count > 1 and (count > tonumber(ARGV[11]) or bytes > tonumber(ARGV[12])) then return false end
    for _, one in ipairs({ ms(number), fields.at, fields.step, fields.agent, fields.attempt, fields.to, fields.content }) do
      reply[#reply + 1] = one
    end
  end
  far = number
  return true
end
while far < last do
  local entries = redis.call('XRANGE', job.board, ms(far + 1), ms(last), 'COUNT', 50)
  if #entries == 0 then break end
  for _, entry in ipairs(entries) do
    if not take(entry) then
      last = far
      break
    end
  end
end
far = math.max(last, since)
local first = redis.call('XRANGE', job.board, '-', '+', 'COUNT', 1)[1]
local oldest = first and tonumber(string.match(first[1], '^%d+')) or 1
reply[2], reply[3] = ms(far), ms(math.max(math.min(oldest - 1, far) - since, 0))
if not before and (ARGV[10] == '1' or #reply > 3) then note(job, once, ms(far), step) end
return reply
