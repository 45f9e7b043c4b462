package tracking

import (
	"fmt"

	"github.com/bridgehead-mail/bridgehead/internal/logfile"
)

// Validate returns an error if files cannot be created in Dir. A gateway.Gateway
// calls it before it runs.
func (l *Log) Validate() error {
	if err := logfile.Writable(l.Dir); err != nil {
		return fmt.Errorf("tracking: %w", err)
	}
	return nil
}
