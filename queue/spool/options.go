package spool

import (
	"cmp"
	"fmt"

	"github.com/bridgehead-mail/bridgehead/internal/settings"
)

// The defaults and the range of the options, in bytes.
const (
	defaultSegmentSize  = 64 << 20
	minSegmentSize      = 64 << 10
	maxSegmentSize      = 1 << 30
	defaultLargeContent = 256 << 10
)

func (o *Options) segmentSize() int64 { return cmp.Or(o.SegmentSize, defaultSegmentSize) }

// validate returns an error that names each option that is out of range, its
// value and the range.
func (o *Options) validate() error {
	var segment, large error
	if n := o.SegmentSize; n != 0 && (n < minSegmentSize || n > maxSegmentSize) {
		segment = fmt.Errorf("SegmentSize is %d: must be from %d to %d bytes", n, minSegmentSize, maxSegmentSize)
	} else if n, most := o.LargeContent, o.segmentSize()/4; n < 0 || n > most {
		large = fmt.Errorf("LargeContent is %d: must be from 1 to %d bytes, a quarter of SegmentSize", n, most)
	}
	if segment != nil && o.LargeContent < 0 { // the maximum is not known
		large = settings.Number("LargeContent", o.LargeContent)
	}
	return settings.Join("spool: Options.", segment, large,
		settings.Optional("DamagedBytes", o.DamagedBytes), settings.Optional("DamagedFiles", o.DamagedFiles))
}
