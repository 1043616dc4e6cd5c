-- What `print` shows of a table: its content, bounded in depth, width and bytes. No code of the script runs for it but __tostring.
local K = ...
local identity, opaque, named = K.identity, K.opaque, K.named
local type, next, pcall, tostring, rawget, rawlen, getmetatable = type, next, pcall, tostring, rawget, rawlen, getmetatable
local byte, find, format, gsub, rep, sub = string.byte, string.find, string.format, string.gsub, string.rep, string.sub
local concat, sort, mathtype = table.concat, table.sort, math.type
rawlen = rawlen or function(t) return #t end

local DEPTH, ITEMS, KEYS, WIDTH = 6, 100, 1000, 76
local TEXT, ALL = 10000, 100000 -- bytes of one text, and of everything
local LONG = 80                 -- bytes of a text that is not shown twice

local advice = { task = ": await() gives its value", builder = ": build() makes it" }

local left, texts

local function cut(text, most)
  if #text <= most then return text, "" end
  local last = most
  while last > most - 4 and (byte(text, last + 1) or 0) >= 128 and byte(text, last + 1) < 192 do last = last - 1 end
  return sub(text, 1, last), "... (" .. #text .. " bytes)"
end

local escapes = { ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t", ['"'] = '\\"', ["\\"] = "\\\\" }

local function quoted(text, key)
  if #text > LONG then
    if texts[text] then return "<the same as " .. texts[text] .. ">" end
    texts[text] = type(key) == "string" and key or "above"
  end
  local shown, more = cut(text, TEXT)
  shown = gsub(shown, '[\n\r\t"\\]', escapes)
  shown = gsub(shown, "[%z\1-\31\127]", function(c) return format("\\%03d", byte(c)) end)
  return '"' .. shown .. '"' .. more
end

-- The text of a key comes first, then numbers, then names.
local function before(a, b)
  if a == "text" or b == "text" then return a == "text" and b ~= "text" end
  local first, second = type(a), type(b)
  if first ~= second then return first == "number" or (second ~= "number" and first < second) end
  if first == "number" or first == "string" then return a < b end
  return tostring(a) < tostring(b)
end

local function sorted_keys(value, length)
  local keys, more = {}, false
  for key in next, value do
    local listed = type(key) == "number" and key >= 1 and key <= length and key % 1 == 0
    if not listed then
      if #keys == KEYS then
        more = true
        break
      end
      keys[#keys + 1] = key
    end
  end
  sort(keys, before)
  return keys, more
end

local function key_text(key)
  if type(key) == "string" then
    if find(key, "^[%a_][%w_]*$") then return (cut(key, LONG)) end
    return '["' .. gsub(cut(key, LONG), '[\n\r\t"\\]', escapes) .. '"]'
  end
  return "[" .. (type(key) == "table" and "table" or K.shown(key)) .. "]"
end

local show

local function members(value, depth, parents, indent)
  local length, parts = rawlen(value), {}
  for i = 1, length do
    if i > ITEMS or left <= 0 then
      parts[#parts + 1] = "... " .. (length - i + 1) .. " more"
      break
    end
    parts[#parts + 1] = show(rawget(value, i), depth, parents, indent)
  end
  local keys, more = sorted_keys(value, length)
  for i, key in next, keys do
    if i > ITEMS or left <= 0 then
      parts[#parts + 1] = more and "... more" or "... " .. (#keys - i + 1) .. " more"
      break
    end
    parts[#parts + 1] = key_text(key) .. " = " .. show(rawget(value, key), depth, parents, indent, key)
  end
  return parts
end

local function braced(head, parts, indent)
  if #parts == 0 then return head .. "{}" end
  local line = concat(parts, ", ")
  if #line + #indent + #head <= WIDTH and not find(line, "\n", 1, true) then return head .. "{" .. line .. "}" end
  local inner = indent .. "  "
  return head .. "{\n" .. inner .. concat(parts, ",\n" .. inner) .. "\n" .. indent .. "}"
end

local function own_text(value)
  local meta = getmetatable(value)
  if type(meta) ~= "table" or not rawget(meta, "__tostring") then return nil end
  local ok, text = pcall(tostring, value)
  return ok and type(text) == "string" and text or "<its __tostring fails>"
end

local function functions_of(value)
  local names = {}
  for name in next, value do
    if type(name) == "string" then names[#names + 1] = name end
  end
  sort(names)
  return names
end

local function show_table(value, depth, parents, indent)
  local text = own_text(value)
  if text then return (cut(text, TEXT)) end
  if named[value] then return braced(named[value] .. " ", functions_of(value), indent) end
  local kind = opaque[value]
  if kind then return "<" .. kind .. (advice[kind] or "") .. ">" end
  local own, head = identity[value], ""
  if own then value, head = own[3], own[1] .. " " end
  if parents[value] then return "<cycle>" end
  if depth > DEPTH or left <= 0 then return head .. "{...}" end
  parents[value] = true
  local parts = members(value, depth + 1, parents, indent .. "  ")
  parents[value] = nil
  return braced(head, parts, indent)
end

function show(value, depth, parents, indent, key)
  local kind, text = type(value), nil
  if kind == "table" then text = show_table(value, depth, parents, indent)
  elseif kind == "string" then text = quoted(value, key)
  elseif kind == "number" or kind == "boolean" or kind == "nil" then text = K.shown(value)
  else text = "<" .. kind .. ">" end
  left = left - #text
  return text
end

function K.show(value)
  left, texts = ALL, {}
  return show(value, 1, {}, "")
end
