// Package audit tells of each message which agent said what about it, and how
// long it took to say so; and it counts what agents do.
//
//	a := &audit.Audit{Sink: func(t *audit.Trail) { log.Println(t) }}
//	srv.Agents = a.Wrap(srv.Agents)
//	srv.Handler = a.Handler(srv.Handler)
//
// A [Trail] has an entry for each time that an agent was asked, in order:
//
//	message 01JD3X.1 from <a@example.org>: accepted
//	  connect      block list       pass                 12µs
//	  rcpt         relay            pass                 1µs  bob@example.com
//	  end of data  spamd            550 5.7.1 It is spam 31ms
//
// [Audit.Counters] has the calls, refusals, failures and times of each agent
// at each event, for a metrics page.
package audit
