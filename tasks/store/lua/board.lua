-- Board: what the steps of a job say to each other, in one order. Stands after waits.
-- :board  stream, ids `<number>-0`: at, step, agent, attempt, to ('' : all), content (JSON)
-- :posts  hash: # number of the newest · bytes of those that are kept · p <step> <key> number of a post ·
--         r <step> <key> how far a read came · n <step> posts and reads of a step ·
--         ~ steps that are parked until they are told something: `step/key/agent`, blank-separated

-- Whether one of a step's posts or reads more may be noted.
local function may_note(job, step, most)
  return tonumber(redis.call('HGET', job.posts, 'n ' .. step) or '0') < tonumber(most)
end

local function note(job, field, value, step)
  redis.call('HSET', job.posts, field, value)
  redis.call('HINCRBY', job.posts, 'n ' .. step, 1)
  keep_alive(job, job.posts)
end

local function is_for(from, to, step, agent)
  return from ~= step and (to == '' or to == step or to == agent)
end

-- Fields of an entry of the board, by their names; and its number.
local function said_in(entry)
  local fields = {}
  for at = 1, #entry[2], 2 do fields[entry[2][at]] = entry[2][at + 1] end
  return fields, tonumber(string.match(entry[1], '^%d+'))
end

-- A step waits to be told something that is newer than what it knows: at once where that is there. O(changes)
local function await_message(job, step, key, wanted)
  local asks = cjson.decode(wanted)
  for _, entry in ipairs(redis.call('XRANGE', job.board, ms(asks.since + 1), '+')) do
    local fields = said_in(entry)
    if is_for(fields.step, fields.to, step, asks.agent) then
      set_outcome(job, step, key, '{"kind":"message"}')
      return
    end
  end
  local waiting = redis.call('HGET', job.posts, '~')
  redis.call('HSET', job.posts, '~', (waiting and waiting .. ' ' or '') .. step .. '/' .. key .. '/' .. asks.agent)
  keep_alive(job, job.posts)
end

-- Lets those go on who wait for a message of this one; forgets those who wait no more. O(steps that wait)
local function tell_waiting(job, from, to)
  local waiting, rest = redis.call('HGET', job.posts, '~'), {}
  if not waiting then return end
  for one in string.gmatch(waiting, '%S+') do
    local step, key, agent = string.match(one, '^([^/]*)/([^/]*)/(.*)$')
    local facts = redis.call('HMGET', job.waits, wait_field('w', step, key), wait_field('o', step, key))
    if facts[1] and not facts[2] then
      if is_for(from, to, step, agent) then set_outcome(job, step, key, '{"kind":"message"}')
      else rest[#rest + 1] = one end
    end
  end
  if #rest == 0 then redis.call('HDEL', job.posts, '~')
  else redis.call('HSET', job.posts, '~', table.concat(rest, ' ')) end
end

-- Drops the oldest until no more are kept than may be; the newest stays.
local function shorten(job, most, most_bytes)
  local bytes = tonumber(redis.call('HGET', job.posts, 'bytes') or '0')
  local count = redis.call('XLEN', job.board)
  while count > 1 and (count > tonumber(most) or bytes > tonumber(most_bytes)) do
    local first = redis.call('XRANGE', job.board, '-', '+', 'COUNT', 1)[1]
    bytes, count = bytes - #said_in(first).content, count - 1
    redis.call('XDEL', job.board, first[1])
  end
  redis.call('HSET', job.posts, 'bytes', ms(bytes))
end
