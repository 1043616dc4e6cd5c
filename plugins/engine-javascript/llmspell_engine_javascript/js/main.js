// The one function that Python calls. Nothing is thrown out of it on purpose.
function enter(kind, a, b, c, d) {
  switch (kind) {
    case "settle":
      return settle(a, b);
    case "invoke":
      return invoke(a, b, c, d);
    case "run":
      return run(a);
    case "fire":
      return fire(a);
    case "boot":
      setMark(c);
      installEnvironment(b);
      return install(parse(a));
    case "arguments":
      return setArguments(a);
    case "forget":
      return forget();
    case "complete":
      return json(complete(parse(a)));
    case "lost":
      return lostFailure();
    case "callbacks":
      return lastFunction;
  }
}
return enter;
