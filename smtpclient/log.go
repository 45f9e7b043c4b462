package smtpclient

// sessionLog writes the protocol log of one session; nil writes none.
type sessionLog struct{}

func (l *sessionLog) sent(commands []byte) {}
func (l *sessionLog) line(line string)     {}
func (l *sessionLog) received(r reply)     {}
func (l *sessionLog) content(n int64)      {}
func (l *sessionLog) close()               {}
