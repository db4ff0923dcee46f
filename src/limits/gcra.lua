-- One decision over several buckets: all of them are charged, or none is.
--
-- KEYS: the buckets. ARGV: of each, how long one request takes to flow off (nanoseconds), how many fit in,
-- and how many are asked for. A bucket is what has not flowed off yet, in nanoseconds, and when that was:
-- 'MICROSECONDS:NANOSECONDS'. By Redis's own clock, so that nodes' clocks may differ.
--
-- Answers 1 or 0, whether there was room in all of them, and of each bucket what is in it now.
local clock = redis.call('TIME')
local now = tonumber(clock[1]) * 1000000 + tonumber(clock[2])

local function keep(key, level)
  -- A bucket that has run empty is as good as none.
  local life = math.ceil(level / 1000000) + 1
  redis.call('SET', key, string.format('%.0f:%.0f', now, level), 'PX', string.format('%.0f', life))
end

local states = redis.call('MGET', unpack(KEYS))
local levels, costs, admitted = {}, {}, 1
for i, key in ipairs(KEYS) do
  local interval, burst = tonumber(ARGV[3 * i - 2]), tonumber(ARGV[3 * i - 1])
  local size = interval * burst
  costs[i] = interval * tonumber(ARGV[3 * i])
  local level = 0
  if states[i] then
    local at, was = string.match(states[i], '^(%d+):(%d+)$')
    if at then
      -- A limit that was lowered meanwhile makes nobody wait for longer than an empty bucket takes to fill.
      level = math.min(tonumber(was), size)
      local passed = now - tonumber(at)
      if passed < 0 then
        -- Another Redis, whose clock is behind: what is in the bucket flows off from now on.
        keep(key, level)
      else
        level = math.max(level - passed * 1000, 0)
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
      keep(key, levels[i])
    end
  end
end

table.insert(levels, 1, admitted)
return levels
