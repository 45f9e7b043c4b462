package tracking

import "github.com/bridgehead-mail/bridgehead/internal/logfile"

// Validate returns an error if files cannot be created in Dir. A gateway.Gateway
// calls it before it runs.
func (l *Log) Validate() error { return logfile.Writable(l.Dir) }
