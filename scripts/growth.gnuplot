# SPDX-License-Identifier: GPL-2.0
# gnuplot -c growth.gnuplot DATA SVG: what scripts/growth has measured; columns as in the head of DATA.
set terminal svg size 760,440 font 'sans-serif,13' background '#ffffff'
set output ARG2
set logscale xy
set format x '10^{%T}'
set format y '10^{%T}'
set xlabel 'mappings of the open device'
set ylabel 'instructions'
set key outside right top reverse Left samplen 2
set grid ytics lc rgb '#dddddd'
set border 3
set tics nomirror out
per(total, mappings) = total / mappings
# With more address spaces the lines fall together.
one = "< awk '!/^#/ && $2 == 1' ".ARG1
set style data linespoints
set pointsize 0.6
plot one using 1:3 title 'map one more' lc rgb '#1f77b4' pt 7, \
     one using 1:4 title 'unmap one' lc rgb '#ff7f0e' pt 7, \
     one using 1:5 title 'SET\_GROUP\_ASID' lc rgb '#2ca02c' pt 7, \
     one using 1:(per($6, $1)) title 'close, a mapping' lc rgb '#d62728' pt 7, \
     one using 1:(per($7, $1)) title 'removal, a mapping' lc rgb '#9467bd' pt 7
