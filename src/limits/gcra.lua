-- One decision over several buckets: all of them are charged, or none is.
--
-- KEYS: the buckets. ARGV: of each, how long one request takes to flow off (nanoseconds), how many fit in,
-- and how many are asked for. A bucket is what has not flowed off yet, in nanoseconds, when that was, and by which limit:
-- 'MICROSECONDS:NANOSECONDS:INTERVAL:BURST'. By Redis's own clock, so that nodes' clocks may differ.
--
-- Answers 1 or 0, whether there was room in all of them, and of each bucket what is in it now.
local clock = redis.call('TIME')
local now = tonumber(clock[1]) * 1000000 + tonumber(clock[2])

local function keep(i, level)
  -- A bucket that has run empty is as good as none.
  local life = math.ceil(level / 1000000) + 1
  local text = string.format('%.0f:%.0f:%s:%s', now, level, ARGV[3 * i - 2], ARGV[3 * i - 1])
  redis.call('SET', KEYS[i], text, 'PX', string.format('%.0f', life))
end

local states = redis.call('MGET', unpack(KEYS))
local levels, costs, admitted = {}, {}, 1
for i, key in ipairs(KEYS) do
  local interval, burst = tonumber(ARGV[3 * i - 2]), tonumber(ARGV[3 * i - 1])
  local size = interval * burst
  costs[i] = interval * tonumber(ARGV[3 * i])
  local level = 0
  if states[i] then
    local at, was, before, many = string.match(states[i], '^(%d+):(%d+):(%d+):(%d+)$')
    if at then
      local passed = now - tonumber(at)
      -- Another Redis, whose clock is behind: what is in the bucket flows off from now on.
      level = math.max(tonumber(was) - math.max(passed, 0) * 1000, 0)
      before, many = tonumber(before), tonumber(many)
      local is_other = before ~= interval or many ~= burst
      if is_other then
        -- What it has left stays, as far as it still holds so much; a larger one fills up as it refills.
        local left = math.max(many - level / before, 0)
        level = size - math.min(left, burst) * interval
      end
      if is_other or passed < 0 then
        keep(i, level)
      end
    end
  end
  levels[i] = level
  if level + costs[i] > size then
    admitted = 0
  end
end

if admitted == 1 then
  for i, key in ipairs(KEYS) do
    levels[i] = levels[i] + costs[i]
    if costs[i] > 0 then
      keep(i, levels[i])
    end
  end
end

table.insert(levels, 1, admitted)
return levels
