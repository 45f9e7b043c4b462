// Package audit records the decision and the duration of each agent for each
// message. It also counts the calls and decisions of agents.
//
//	a := &audit.Audit{Sink: func(t *audit.Trail) { log.Println(t) }}
//	srv.Agents = a.Wrap(srv.Agents)
//	srv.Handler = a.Handler(srv.Handler)
//
// A [Trail] has one entry for each call of an agent, in order:
//
//	message 01JD3X.1 from <a@example.org>: accepted
//	  connect      block list       pass                 12µs
//	  rcpt         relay            pass                 1µs  bob@example.com
//	  end of data  spamd            550 5.7.1 It is spam 31ms
//
// [Log] writes the trails to files.
//
// [Audit.Counters] returns the calls, refusals, errors and durations of each agent
// at each event, for example for a metrics page.
package audit
