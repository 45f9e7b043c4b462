//go:build unix

package pgtest

import "strings"

// A Fault is a cut at the commit of a transaction. It happens once.
type Fault struct {
	match  string
	answer bool          // cut before the answer reaches the client; else before the commit reaches the server
	down   bool          // the proxy goes down with it
	done   chan struct{} // closed when it has happened
}

// Happened is closed when the connection has been cut.
func (f *Fault) Happened() <-chan struct{} { return f.done }

// CutAnswer cuts the connection after the server has committed a transaction that has
// a statement containing match (in any case), and before the client gets the answer.
// It does not matter whether the client sends COMMIT or whether the Sync at the end of
// a pipeline commits.
func (p *Proxy) CutAnswer(match string) *Fault { return p.arm(match, true) }

// LastAnswer is CutAnswer followed by Down, with no time in between in which the client
// could connect again.
func (p *Proxy) LastAnswer(match string) *Fault {
	f := p.arm(match, true)
	p.mu.Lock()
	defer p.mu.Unlock()
	f.down = true
	return f
}

// CutRequest cuts the connection before the server gets what commits such a
// transaction, so it is rolled back.
func (p *Proxy) CutRequest(match string) *Fault { return p.arm(match, false) }

func (p *Proxy) arm(match string, answer bool) *Fault {
	f := &Fault{match: strings.ToLower(match), answer: answer, done: make(chan struct{})}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.faults = append(p.faults, f)
	return f
}

// Disarm removes a fault that has not happened yet.
func (p *Proxy) Disarm(f *Fault) { p.take(f) }

// find returns the first fault of the kind that matches one of the statements, or nil.
func (p *Proxy) find(answer bool, statements ...[]string) *Fault {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, f := range p.faults {
		if f.answer != answer {
			continue
		}
		for _, list := range statements {
			for _, sql := range list {
				if strings.Contains(sql, f.match) {
					return f
				}
			}
		}
	}
	return nil
}

// take removes a fault. It returns false if another connection has taken it.
func (p *Proxy) take(f *Fault) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for n := range p.faults {
		if p.faults[n] == f {
			p.faults = append(p.faults[:n], p.faults[n+1:]...)
			return true
		}
	}
	return false
}

// happen takes the fault and reports it.
func (p *Proxy) happen(f *Fault) bool {
	if !p.take(f) {
		return false
	}
	if f.down {
		p.Down()
	}
	close(f.done)
	return true
}
