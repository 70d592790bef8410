// 稠密矩阵，按行存储。
#pragma once
#include <stdexcept>
#include <vector>

namespace algebra {

/// A matrix of doubles.
class Matrix {
public:
    Matrix(std::size_t rows, std::size_t columns) : columns_(columns), cells_(rows * columns) {}

    double& at(std::size_t row, std::size_t column)
    {
        if (column >= columns_) {
            throw std::out_of_range("列号超出范围");
        }
        return cells_.at(row * columns_ + column);
    }

    // 转置不改变原矩阵
    Matrix transposed() const
    {
        Matrix result(columns_, cells_.size() / columns_);
        for (std::size_t i = 0; i < cells_.size(); ++i) {
            result.cells_[(i % columns_) * (cells_.size() / columns_) + i / columns_] = cells_[i];
        }
        return result;
    }

private:
    std::size_t columns_;
    std::vector<double> cells_;
};

template <typename T>
T clamp(T value, T low, T high)
{
    return value < low ? low : value > high ? high : value;
}

}  // namespace algebra
